//! Numbers and texts as the server takes them, besides those of [`crate::postgres::row`].

use std::borrow::Cow;

use tillstream_model::IntegrationNo;

/// An integration's number as the server has it; none is above its largest number.
pub(super) fn stored_no(no: IntegrationNo) -> i64 {
    stored_big(no.0)
}

/// An integration's number from the server.
pub(super) fn no(stored: i64) -> IntegrationNo {
    IntegrationNo(big(stored))
}

/// A large count; the server's largest number stands for all above it.
pub(super) fn stored_big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A large count from the server, which has none below 0.
pub(super) fn big(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// A small count; the server's largest number stands for all above it.
pub(super) fn stored_count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A small count from the server, which has none below 0.
pub(super) fn count(stored: i32) -> u32 {
    u32::try_from(stored).unwrap_or_default()
}

/// The status of an answer.
pub(super) fn stored_status(status: Option<u16>) -> Option<i32> {
    status.map(i32::from)
}

/// The status of an answer from the server.
pub(super) fn status(stored: Option<i32>) -> Option<u16> {
    stored.and_then(|status| status.try_into().ok())
}

/// How many rows are asked for to see whether more than `limit` follow.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// A text that the server takes: it has none with U+0000 in it. One receiver's answer must not make the commit of a
/// whole group fail.
pub(in crate::postgres) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{FFFD}")),
        false => Cow::Borrowed(text),
    }
}

/// Whether anything can be stored under this id; asking the server for another one would be an error.
pub(super) fn is_storable(id: &str) -> bool {
    !id.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_servers_are_its_largest_and_never_wrap() {
        assert_eq!((stored_big(7), stored_big(u64::MAX), big(-1)), (7, i64::MAX, 0));
        assert_eq!((stored_count(7), stored_count(u32::MAX), count(-1)), (7, i32::MAX, 0));
        assert_eq!((status(Some(503)), status(Some(-1)), status(Some(70_000))), (Some(503), None, None));
        assert_eq!((one_more(0), one_more(usize::MAX)), (1, i64::MAX));
    }

    #[test]
    fn a_text_with_a_zero_in_it_is_changed_and_no_other() {
        assert_eq!(text("a\0b"), "a\u{FFFD}b");
        assert!(matches!(text("Straße"), Cow::Borrowed("Straße")));
        assert!(is_storable("erp") && !is_storable("erp\0"));
    }
}
