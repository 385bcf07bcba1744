//! What the stores sell.

use super::super::money::Cents;

/// Something on the menu.
pub struct Dish {
    /// Article number.
    pub sku: &'static str,
    /// What the guest reads.
    pub name: &'static str,
    /// Price of one.
    pub price: Cents,
    /// Bottled goods carry their tax in the price; on everything else it is put on top.
    pub tax_inside: bool,
    /// What can be added or changed.
    pub extras: &'static [Extra],
}

/// Something added to a dish.
pub struct Extra {
    /// What the kitchen reads.
    pub name: &'static str,
    /// Price of one; many cost nothing.
    pub price: Cents,
    /// How it can be made; never costs anything.
    pub options: &'static [&'static str],
}

/// The menu.
pub const MENU: [Dish; 18] = [
    dish("BUR-01", "Double Smash Burger", 1_000, BURGER),
    dish("BUR-02", "Mushroom Swiss Burger", 1_150, BURGER),
    dish("BUR-03", "Garden Burger", 975, BURGER),
    dish("BUR-04", "Crispy Chicken Sandwich", 925, BURGER),
    dish("WRP-01", "Caesar Wrap", 850, WRAP),
    dish("WRP-02", "Falafel Wrap", 825, WRAP),
    dish("SAL-01", "Cobb Salad", 1_090, WRAP),
    dish("BRK-01", "Egg & Cheddar Biscuit", 549, BREAKFAST),
    dish("BRK-02", "Breakfast Burrito", 795, BREAKFAST),
    dish("BRK-03", "Pancake Stack", 680, BREAKFAST),
    dish("SID-01", "Fries", 350, SIDE),
    dish("SID-02", "Sweet Potato Fries", 425, SIDE),
    dish("SID-03", "Onion Rings", 450, SIDE),
    dish("DES-01", "Vanilla Shake", 520, SHAKE),
    dish("COF-01", "Filter Coffee", 275, COFFEE),
    dish("COF-02", "Flat White", 410, COFFEE),
    bottle("BOT-01", "Still Water 0.5 l", 220),
    bottle("BOT-02", "Root Beer", 330),
];

/// Article number and name of the fee for bringing an order.
pub const DELIVERY_FEE: (&str, &str) = ("FEE-01", "Delivery fee");
/// Article number and name of a card sold at the counter.
pub const GIFT_CARD: (&str, &str) = ("GFT-01", "Gift card");
/// Article number of a word to the kitchen.
pub const COMMENT: &str = "CMT-01";
/// What guests ask of the kitchen.
pub const COMMENTS: [&str; 4] = ["Cut in half", "Allergy: sesame", "Extra napkins", "Birthday table"];

const BURGER: &[Extra] = &[
    extra("Extra cheese", 120, &["Cheddar", "Swiss", "Pepper jack"]),
    extra("Bacon", 180, &["Crispy", "Soft"]),
    extra("No onions", 0, &[]),
    extra("Gluten-free bun", 150, &["Toasted"]),
];
const WRAP: &[Extra] =
    &[extra("Avocado", 210, &[]), extra("Dressing", 0, &["On the side", "Light"]), extra("Grilled chicken", 325, &[])];
const BREAKFAST: &[Extra] = &[extra("Extra egg", 145, &["Over easy", "Scrambled"]), extra("Maple syrup", 75, &[])];
const SIDE: &[Extra] = &[extra("Dip", 65, &["Ketchup", "Aioli", "Barbecue"]), extra("Large", 110, &[])];
const SHAKE: &[Extra] = &[extra("Whipped cream", 50, &[]), extra("Malt", 80, &[])];
const COFFEE: &[Extra] = &[extra("Milk", 60, &["Oat", "Whole", "Skimmed"]), extra("Extra shot", 95, &[])];

const fn dish(sku: &'static str, name: &'static str, cents: i64, extras: &'static [Extra]) -> Dish {
    Dish { sku, name, price: Cents(cents), tax_inside: false, extras }
}

const fn bottle(sku: &'static str, name: &'static str, cents: i64) -> Dish {
    Dish { sku, name, price: Cents(cents), tax_inside: true, extras: &[] }
}

const fn extra(name: &'static str, cents: i64, options: &'static [&'static str]) -> Extra {
    Extra { name, price: Cents(cents), options }
}
