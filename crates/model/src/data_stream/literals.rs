//! Values that sources are known to use (`contracts/data-stream.md`, "Gate"). API and portal offer them; filters take
//! any other text too.

/// `state` of an order.
pub const ORDER_STATES: [&str; 8] =
    ["open", "committed", "commit_delayed", "checkedin", "paid", "closed", "cancelled", "voided"];
/// `order_type` of an order.
pub const ORDER_TYPES: [&str; 3] = ["order", "refund", "waste"];
/// `events[].type` of a drawer.
pub const DRAWER_EVENT_TYPES: [&str; 14] = [
    "open",
    "assign",
    "add_participant",
    "suspend",
    "resume",
    "sale",
    "refund",
    "paid_in",
    "paid_out",
    "cash_pull",
    "tip_out",
    "no_sale",
    "count",
    "close",
];
/// `status` of a deposit, compared without case.
pub const DEPOSIT_STATUSES: [&str; 3] = ["open", "finalized", "deleted"];
/// `steps[].type` of a workflow.
pub const WORKFLOW_STEPS: [&str; 5] = ["drawers", "terminals", "deposits", "employee_shifts", "orders"];
/// `steps[].status` of a workflow.
pub const STEP_STATUSES: [&str; 2] = ["success", "unsuccess"];
