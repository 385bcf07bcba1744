//! The trace that a request belongs to (W3C Trace Context). Its `tracestate` is not kept: a log that events leave days
//! later has no use for it, and whoever leaves it out may (section 3.5 of the recommendation).

use http::{HeaderMap, HeaderName};
use tillstream_model::Trace;

/// Names the trace, and the caller's span in it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request names; None when it names none, several, or one that can't be read.
pub fn of(headers: &HeaderMap) -> Option<Trace> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let one = all.next().filter(|_| all.next().is_none())?;
    Trace::parse(one.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_trace_of_a_request_is_the_only_one_that_it_names() {
        let one = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), None);
        headers.insert(TRACEPARENT, one.clone());
        assert_eq!(of(&headers).map(|t| t.span), Some(0xf0_67aa_0ba9_02b7));
        headers.append(TRACEPARENT, one);
        assert_eq!(of(&headers), None, "nobody could say which");
        headers.insert(TRACEPARENT, HeaderValue::from_static("none"));
        assert_eq!(of(&headers), None);
    }
}
