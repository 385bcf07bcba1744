//! What callers are told of a value that cannot be read.

/// What a parser says of a wrong value, without the text that it found: somebody may have put a secret in the wrong
/// place.
pub fn without_text(message: &str) -> String {
    match (message.find("string \""), message.rfind("\", expected ")) {
        (Some(open), Some(close)) => format!("{}string{}", &message[..open], &message[close + 1..]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_found_is_not_told() {
        let message = |json: &str| without_text(&serde_json::from_str::<Vec<u8>>(json).unwrap_err().to_string());
        assert_eq!(
            message(r#""s3cr3t \", expected x""#),
            "invalid type: string, expected a sequence at line 1 column 23"
        );
        assert!(message("7").starts_with("invalid type: integer `7`, expected a sequence"));
        assert!(message("[\"s3cr3t\"]").starts_with("invalid type: string, expected u8"));
    }
}
