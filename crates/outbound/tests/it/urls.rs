//! What a URL may look like when it is saved.

use tillstream_outbound::{MAX_URL_BYTES, Policy, UrlError, check_url};

fn wrong(text: &str) -> UrlError {
    check_url(text).expect_err(text)
}

#[test]
fn ordinary_urls_pass() {
    for text in [
        "https://erp.example/hooks?tenant=7",
        "http://erp.example",
        "HTTPS://ERP.EXAMPLE:8443/a/b",
        "https://xn--bcher-kva.example/",
        "https://under_score.example./x",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]:444/",
        "https://a.example/p%20q?x=%23y",
    ] {
        check_url(text).expect(text);
    }
}

#[test]
fn white_space_is_refused_wherever_it_stands() {
    for text in [
        " https://a.example/",
        "https://a.example/ ",
        "https://a.example/\n",
        "https://a. example/",
        "https://a.example/\u{a0}",
        "https://a.example/\0",
        "https://a.example/\t?x",
    ] {
        assert_eq!(wrong(text), UrlError::WhiteSpace, "{text:?}");
    }
}

#[test]
fn each_fault_is_named() {
    let cases = [
        ("ftp://a.example/", UrlError::Scheme),
        ("file:///etc/passwd", UrlError::Scheme),
        ("a.example/x", UrlError::Scheme),
        ("/x", UrlError::Scheme),
        ("", UrlError::Scheme),
        ("https://", UrlError::NoHost),
        ("https:///x", UrlError::NoHost),
        ("https://:443/", UrlError::NoHost),
        ("https://me@a.example/", UrlError::UserInfo),
        ("https://me:secret@a.example/", UrlError::UserInfo),
        ("https://a.example/#part", UrlError::Fragment),
        ("https://a.example/é", UrlError::NotAscii),
        ("https://bücher.example/", UrlError::NotAscii),
        ("https://a.example:0/", UrlError::Port),
        ("https://a..example/", UrlError::Host),
        ("https://a.example%2e/", UrlError::Malformed),
        ("https://1.2.3.256/", UrlError::Host),
        ("https://1.2.3.4.5/", UrlError::Host),
        ("https://0x1ffffffff/", UrlError::Host),
        ("https://08.1/", UrlError::Host),
        ("https://a.1/", UrlError::Host),
    ];
    for (text, error) in cases {
        assert_eq!(wrong(text), error, "{text}");
    }
    for text in ["https://a.example:65536/", "https://a.example:x/", "https://[fe80::1%25eth0]/", "https://[::1/"] {
        assert!(check_url(text).is_err(), "{text}");
    }
}

#[test]
fn lengths_are_checked_at_the_limit() {
    let url = |bytes: usize| {
        let start = "https://a.example/";
        format!("{start}{}", "x".repeat(bytes - start.len()))
    };
    check_url(&url(MAX_URL_BYTES)).unwrap();
    assert_eq!(wrong(&url(MAX_URL_BYTES + 1)), UrlError::TooLong);

    let label = |bytes: usize| format!("https://{}.example/", "x".repeat(bytes));
    check_url(&label(63)).unwrap();
    assert_eq!(wrong(&label(64)), UrlError::Host);

    let name = |bytes: usize| format!("https://{}b/", "a.".repeat((bytes - 1) / 2));
    check_url(&name(253)).unwrap();
    assert_eq!(wrong(&name(255)), UrlError::Host);
}

#[test]
fn literal_addresses_are_refused_early_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0.0x0.1",
        "017700000001",
        "0177.0.0.01",
        "10.1",
        "0xa9fea9fe",
        "0",
        "0x",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[FD00:EC2::254]",
    ] {
        let uri = check_url(&format!("http://{host}:8080/")).expect(host);
        let refusal = Policy::default().check_literal(&uri).expect_err(host);
        assert_eq!(refusal.host, host);
    }
}

#[test]
fn names_and_public_literals_pass_the_early_check() {
    for url in ["http://localhost/", "http://1.1.1.1/", "http://0x01010101/", "http://[2606:4700::1]/"] {
        let uri = check_url(url).unwrap();
        Policy::default().check_literal(&uri).expect(url);
    }
}
