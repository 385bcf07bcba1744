//! `GET /v1/nodes`: the processes that share the work.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::docs::{Denied, WrongQuery};
use super::extract::{Caller, Params};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// A process that shares the work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeView {
    /// What it is called.
    #[schema(example = "hub-1")]
    pub name: String,
    /// Whether it said within the last seconds that it is there.
    pub alive: bool,
    /// How many of the 64 buckets of lanes it runs.
    #[schema(example = 22)]
    pub buckets: u16,
    /// Whether it is the one that answers.
    pub this: bool,
}

/// List nodes
///
/// By name; one that ended is listed for a day. Needs the scope `instance`.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "nodes",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<NodeView>), Denied, WrongQuery)
)]
pub async fn list_nodes(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<NodeView>>> {
    caller.may(Scope::Instance)?;
    let mut nodes = hub.stores().nodes.all().await?;
    nodes.retain(|node| paging.after.as_ref().is_none_or(|after| *after < node.name));
    let view = |n: tillstream_store::nodes::Node| NodeView {
        name: n.name,
        alive: n.is_alive,
        buckets: n.buckets,
        this: n.is_this,
    };
    Ok(Json(Listing::of_more(nodes, &paging, |node| &node.name).map(view)))
}
