//! What is sent to an endpoint: `{"entityName":…,"data":…}` (`contracts/data-stream.md`, "Envelope and entities").
//!
//! `data` is copied byte for byte. First what `redaction` names goes; then, for orders that are to carry them,
//! `gross_sales` and `net_sales` come at its end. They are the hub's figures: members of these names that the source
//! wrote are replaced by them, so that a receiver finds each once.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::sales::Sales;
use super::streams::Stream;
use crate::json::Json;
use crate::path::{Path, without};

/// What Validate Connection sends, to the byte.
pub const CONNECTION_VALIDATION: &str = r#"{ "entityName": "ConnectionValidation", "data": { "message": "This message was sent to validate the endpoint configuration." } }"#;

/// The members that carry the figures.
const FIGURES: [&str; 2] = ["gross_sales", "net_sales"];
static FIGURE_PATHS: LazyLock<Vec<Path>> =
    LazyLock::new(|| FIGURES.iter().filter_map(|name| Path::parse(name).ok()).collect());

/// The body for one event of the stream. `sales` None: it carries no figures; without a value for them they are `null`.
///
/// The figures are those of the payload as the log has it, so they do not change with what is redacted.
pub fn body(stream: Stream, data: &Json, redaction: &[Path], sales: Option<&Sales>) -> Vec<u8> {
    let data = stripped(Cow::Borrowed(data.get()), redaction);
    let data = match sales {
        Some(sales) => with_figures(stripped(data, &FIGURE_PATHS), sales),
        None => data,
    };
    format!(r#"{{"entityName":"{}","data":{data}}}"#, stream.entity_name()).into_bytes()
}

fn stripped<'a>(data: Cow<'a, str>, paths: &[Path]) -> Cow<'a, str> {
    match without(&data, paths) {
        Some(less) => Cow::Owned(less),
        None => data,
    }
}

/// Only an object takes members; anything else stays as it is.
fn with_figures<'a>(data: Cow<'a, str>, sales: &Sales) -> Cow<'a, str> {
    let Some(members) = data.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return data };
    let comma = if members.is_empty() { "" } else { "," };
    let [gross, net] = written(sales);
    Cow::Owned(format!(r#"{{{members}{comma}"{}":{gross},"{}":{net}}}"#, FIGURES[0], FIGURES[1]))
}

fn written(sales: &Sales) -> [String; 2] {
    match sales {
        Ok(figures) => [figures.gross, figures.net].map(|amount| amount.to_string()),
        Err(_) => ["null", "null"].map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_stream::sales::{Money, NoFigures, of_order};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn written(stream: Stream, data: &str, redaction: &[&str], sales: Option<&Sales>) -> String {
        let paths: Vec<Path> = redaction.iter().map(|p| Path::parse(p).unwrap()).collect();
        String::from_utf8(body(stream, &Json::trusted(data), &paths, sales)).unwrap()
    }

    fn order(data: &str, redaction: &[&str]) -> String {
        let sales = of_order(data, Money::default());
        written(Stream::Orders, data, redaction, Some(&sales))
    }

    #[test]
    fn each_stream_has_its_envelope() {
        let bodies: Vec<String> = Stream::ALL.iter().map(|s| written(*s, r#"{"n":10.00}"#, &[], None)).collect();
        insta::assert_snapshot!(bodies.join("\n"));
    }

    #[test]
    fn spelling_and_order_of_the_payload_stay() {
        let data = r#"{"z":1e5,"a":"\u00e4\/","n":10.00,"gross_sales":"own","l":[{},[]]}"#;
        assert_eq!(written(Stream::Drawers, data, &[], None), format!(r#"{{"entityName":"Drawer","data":{data}}}"#));
    }

    #[test]
    fn the_figures_come_last_and_once() {
        let sale = r#""state":"paid","order_type":"order","items":[{"price":10,"discount":0.5}]"#;
        let with = r#""gross_sales":10.00,"net_sales":9.50"#;
        let expected = format!(r#"{{"entityName":"Order","data":{{{sale},{with}}}}}"#);
        for data in [
            format!("{{{sale}}}"),
            format!(r#"{{"net_sales":1,"gross_sales":{{"a":[1,2]}},{sale}}}"#),
            format!(r#"{{{sale},"gross\u005fsales":"x"}}"#),
        ] {
            assert_eq!(order(&data, &[]), expected, "{data}");
        }
    }

    #[test]
    fn figures_inside_other_members_are_the_sources_own() {
        let data = r#"{"totals":{"gross_sales":1,"net_sales":2}}"#;
        let expected = r#"{"entityName":"Order","data":{"totals":{"gross_sales":1,"net_sales":2},"gross_sales":null,"net_sales":null}}"#;
        assert_eq!(order(data, &[]), expected);
    }

    #[test]
    fn without_a_value_the_figures_are_null() {
        let none = r#"{"entityName":"Order","data":{"gross_sales":null,"net_sales":null}}"#;
        assert_eq!(order("{}", &[]), none);
        assert_eq!(order(r#"{"net_sales":1}"#, &[]), none);
        let unreadable = order(r#"{"state":"paid","order_type":"order"}"#, &[]);
        assert!(unreadable.ends_with(r#","gross_sales":null,"net_sales":null}}"#), "{unreadable}");
    }

    #[test]
    fn what_is_redacted_goes_first_and_does_not_change_the_figures() {
        let data = r#"{"state":"paid","order_type":"order","customer":{"email":"a@b","x":1},"items":[{"price":7}],"net_sales":1}"#;
        let left = order(data, &["customer.email", "items", "net_sales"]);
        let expected = r#"{"entityName":"Order","data":{"state":"paid","order_type":"order","customer":{"x":1},"gross_sales":7.00,"net_sales":7.00}}"#;
        assert_eq!(left, expected);
        assert_eq!(written(Stream::Deposits, r#"{"a":1}"#, &["a"], None), r#"{"entityName":"Deposit","data":{}}"#);
    }

    #[test]
    fn a_payload_that_is_no_object_takes_no_figures() {
        for data in ["null", "[1]", r#""{}""#] {
            assert_eq!(order(data, &[]), format!(r#"{{"entityName":"Order","data":{data}}}"#));
        }
    }

    #[test]
    fn the_validation_is_the_seeds_to_the_byte() {
        let hash: String = Sha256::digest(CONNECTION_VALIDATION).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, "ebdfec7e8e931e3949b27b2bbf79be146b1f8a695872c19b6a7b0983a525c679");
        let read: serde_json::Value = serde_json::from_str(CONNECTION_VALIDATION).unwrap();
        assert_eq!(read["entityName"], "ConnectionValidation");
        assert_eq!(read["data"]["message"], "This message was sent to validate the endpoint configuration.");
    }

    proptest! {
        #[test]
        fn a_body_is_the_payload_as_a_tree_with_two_members_more(value in crate::json::tests::any_json()) {
            let data = serde_json::json!({"inner": value, "net_sales": [1]});
            let text = serde_json::to_string(&data).unwrap();
            let no: Sales = Err(NoFigures::NotASale);
            let read: serde_json::Value =
                serde_json::from_str(&written(Stream::Orders, &text, &[], Some(&no))).unwrap();
            let expected = serde_json::json!({"inner": data["inner"], "gross_sales": null, "net_sales": null});
            prop_assert_eq!(read, serde_json::json!({"entityName": "Order", "data": expected}));
        }
    }
}
