//! What a request brings to say who asks: a key or token as a bearer, or the cookie of a session.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri, header};

use crate::Hub;
use crate::access::sessions::LONGEST;
use crate::problem::{Kind, Problem, Result};

/// The cookie of a person's session.
pub const COOKIE: &str = "tillstream_session";
/// A header that no page of another origin can send: it makes a request with a cookie one of ours.
pub const REQUESTED_WITH: &str = "tillstream-requested-with";

/// What a request brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A key, or a token of the portal inside somebody's page.
    Bearer(&'a str),
    /// The token of a person's session.
    Session(&'a str),
}

/// What this request brings; a bearer comes before a cookie. A request with a cookie that changes something must come
/// from a page of ours.
pub fn of(parts: &Parts) -> Result<Credentials<'_>> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        return bearer(value).map(Credentials::Bearer).ok_or_else(nothing_brought);
    }
    let token = cookie(&parts.headers).ok_or_else(nothing_brought)?;
    if parts.method.is_safe() || is_ours(parts) {
        return Ok(Credentials::Session(token));
    }
    Err(Problem::new(
        Kind::Forbidden,
        "a change with the cookie of a session comes from a page of the hub, or has the header Tillstream-Requested-With",
    ))
}

/// The 401 of whoever is not known.
pub fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
}

fn nothing_brought() -> Problem {
    unauthenticated("send a key: Authorization: Bearer tsk_…; people sign in")
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';')).find_map(|c| c.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether a page of the hub itself sends this: browsers say where a request comes from, and no page can make them
/// say something else.
fn is_ours(parts: &Parts) -> bool {
    let headers = &parts.headers;
    if headers.contains_key(REQUESTED_WITH) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site.as_bytes() == b"same-origin";
    }
    let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()?.split_once("://")).map(|(_, host)| host);
    let own = host(headers, &parts.uri);
    origin.is_some_and(|origin| own.is_some_and(|own| own.eq_ignore_ascii_case(origin)))
}

fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    named.or_else(|| uri.authority().map(|a| a.as_str()))
}

/// How a request came here.
#[derive(Clone, Debug)]
pub struct Way {
    /// From which address.
    pub peer: Option<IpAddr>,
    /// Whether the caller's side of it is encrypted.
    pub is_https: bool,
    /// By which name the caller called the hub.
    host: String,
}

impl Way {
    /// The cookie of a session, as it is set.
    pub fn cookie(&self, token: &str) -> String {
        format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}", LONGEST.as_secs(), self.secure())
    }

    /// The cookie of a session, as it is removed.
    pub fn no_cookie(&self) -> String {
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{}", self.secure())
    }

    fn secure(&self) -> &'static str {
        if self.is_https { "; Secure" } else { "" }
    }

    /// The URL of a page that a token opens. The token stands behind `#`, so that it is in nobody's log.
    pub fn url(&self, page: &str, token: &str) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}/{page}#token={token}", self.host)
    }
}

impl FromRequestParts<Hub> for Way {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
        let own = host(&parts.headers, &parts.uri).unwrap_or("localhost").to_owned();
        if !hub.config().behind_proxy {
            return Ok(Way { peer, is_https: hub.config().tls, host: own });
        }
        let said = |name| last(&parts.headers, name);
        Ok(Way {
            peer: said("x-forwarded-for").and_then(|ip| ip.parse().ok()).or(peer),
            is_https: hub.config().tls || said("x-forwarded-proto").is_some_and(|p| p.eq_ignore_ascii_case("https")),
            host: said("x-forwarded-host").map_or(own, str::to_owned),
        })
    }
}

/// The last of the values: the one that our own proxy added. Those before it are anybody's.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/v1/users");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_bearer_comes_before_a_cookie_and_the_cookie_is_found_among_others() {
        let both = parts("GET", &[("authorization", "bearer  tsk_x"), ("cookie", "tillstream_session=y")]);
        assert_eq!(of(&both).unwrap(), Credentials::Bearer("tsk_x"));
        for cookies in
            ["tillstream_session=y", "a=b; tillstream_session=y; c=d", "tillstream_session_=n;tillstream_session=y"]
        {
            assert_eq!(of(&parts("GET", &[("cookie", cookies)])).unwrap(), Credentials::Session("y"), "{cookies}");
        }
        for wrong in [("authorization", "Basic x"), ("authorization", "Bearer"), ("cookie", "a=b"), ("x", "y")] {
            assert_eq!(of(&parts("GET", &[wrong])).unwrap_err().kind(), Kind::Unauthenticated, "{wrong:?}");
        }
    }

    #[test]
    fn a_change_with_a_cookie_comes_from_a_page_of_ours() {
        let is_ok = |method: &str, more: &[(&str, &str)]| {
            let headers = [&[("cookie", "tillstream_session=y"), ("host", "hub.example:8080")], more].concat();
            of(&parts(method, &headers)).is_ok()
        };
        assert!(is_ok("GET", &[("origin", "https://evil.example")]));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert!(!is_ok(method, &[]), "{method}");
        }
        for ours in [
            &[("tillstream-requested-with", "")][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "http://Hub.example:8080")],
        ] {
            assert!(is_ok("POST", ours), "{ours:?}");
        }
        for other in [
            &[("sec-fetch-site", "same-site"), ("origin", "http://hub.example:8080")][..],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://hub.example")],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
        ] {
            assert!(!is_ok("POST", other), "{other:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_the_hub_alone_and_secure_over_https() {
        let way = |is_https| Way { peer: None, is_https, host: "h".into() };
        let cookie = way(true).cookie("t");
        assert_eq!(cookie, "tillstream_session=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800; Secure");
        assert!(!way(false).cookie("t").contains("Secure"));
        assert!(way(true).no_cookie().contains("Max-Age=0; Secure"));
        assert_eq!(way(true).url("sign-in", "t"), "https://h/sign-in#token=t");
    }

    #[test]
    fn only_what_our_own_proxy_added_counts() {
        let said = parts("GET", &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")]);
        assert_eq!(last(&said.headers, "x-forwarded-for"), Some("2.2.2.2"));
        let twice = parts("GET", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "3.3.3.3")]);
        assert_eq!(last(&twice.headers, "x-forwarded-for"), Some("3.3.3.3"));
    }
}
