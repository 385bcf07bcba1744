//! The address really used is the one that is checked.

use std::sync::Arc;

use tillstream_outbound::{Cause, MAX_ADDRESSES, Options};

use crate::support::{LONG, Server, Turns, client, failing, local_client, local_client_with, ok_with, post, resolving};

const PUBLIC: &str = "93.184.215.14";

#[tokio::test]
async fn a_loopback_receiver_is_called_only_when_opened() {
    let server = Server::answering(ok_with(b"")).await;
    let shut = client(&["lan"], Options::default());

    let failure = failing(&shut, server.uri(), LONG).await;
    assert_eq!(failure.cause, Cause::Blocked);
    assert!(failure.no_connection());
    assert!(failure.detail.contains("127.0.0.1/32"), "{}", failure.detail);
    assert_eq!(server.accepted(), 0);

    post(&local_client(), server.uri(), LONG).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn every_spelling_of_loopback_is_refused_without_a_connection() {
    let server = Server::answering(ok_with(b"")).await;
    let shut = client(&[], Options::default());
    for host in ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]"] {
        let failure = failing(&shut, server.uri_of(host), LONG).await;
        assert_eq!(failure.cause, Cause::Blocked, "{host}");
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_wrapped_loopback_address_reaches_the_receiver_when_its_network_is_opened() {
    let server = Server::answering(ok_with(b"")).await;
    for host in ["127.1", "0x7f.1", "2130706433"] {
        post(&local_client(), server.uri_of(host), LONG).await.unwrap();
    }
    assert!(server.accepted() > 0);
}

#[tokio::test]
async fn a_name_of_the_system_that_means_loopback_is_refused() {
    let server = Server::answering(ok_with(b"")).await;
    let failure = failing(&client(&[], Options::default()), server.uri_of("localhost"), LONG).await;
    assert_eq!(failure.cause, Cause::Blocked);
    assert!(failure.detail.contains("of \"localhost\""), "{}", failure.detail);
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_name_that_turns_from_public_to_loopback_is_refused_and_never_contacted() {
    let server = Server::answering(ok_with(b"")).await;
    let names = Turns::new(&[&[PUBLIC], &["127.0.0.1"]]);
    let shut = client(&[], resolving(Arc::clone(&names)));
    let uri = server.uri_of("rebind.test");

    let found = shut.look_up(&uri).await.unwrap();
    assert_eq!(found[0].ip().to_string(), PUBLIC);

    let failure = failing(&shut, uri.clone(), LONG).await;
    assert_eq!(failure.cause, Cause::Blocked);
    assert!(failure.detail.contains("127.0.0.1 of \"rebind.test\""), "{}", failure.detail);
    assert_eq!((names.asked(), server.accepted()), (2, 0));

    // The same name and receiver with loopback open: it was the guard that kept the call away.
    let open = client(&["127.0.0.1"], resolving(names));
    post(&open, uri, LONG).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_uses_the_answer_that_was_checked_and_asks_once() {
    let checked = Server::answering(ok_with(b"")).await;
    let port = checked.address.port();
    let other = Server::answering_at(&format!("127.0.0.2:{port}"), ok_with(b"")).await;
    let names = Turns::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = client(&["127.0.0.1"], resolving(Arc::clone(&names)));

    post(&client, checked.uri_of("rebind.test"), LONG).await.unwrap();
    assert_eq!((names.asked(), checked.accepted(), other.accepted()), (1, 1, 0));
}

#[tokio::test]
async fn refused_addresses_of_a_name_are_left_out_and_the_others_used() {
    let allowed = Server::answering(ok_with(b"")).await;
    let port = allowed.address.port();
    let refused = Server::answering_at(&format!("127.0.0.2:{port}"), ok_with(b"")).await;
    let names = Turns::new(&[&["127.0.0.2", "::1", "127.0.0.1"]]);
    let client = client(&["127.0.0.1"], resolving(names));

    post(&client, allowed.uri_of("two.test"), LONG).await.unwrap();
    assert_eq!((allowed.accepted(), refused.accepted()), (1, 0));
}

#[tokio::test]
async fn the_next_address_of_a_name_is_tried_up_to_the_limit() {
    let server = Server::answering(ok_with(b"")).await;
    let dead: Vec<String> = (0..MAX_ADDRESSES).map(|i| format!("127.0.1.{i}")).collect();
    let dead: Vec<&str> = dead.iter().map(String::as_str).collect();
    let within = [&dead[1..], &["127.0.0.1"]].concat();
    let beyond = [&dead[..], &["127.0.0.1"]].concat();

    let reached = local_client_with(Turns::new(&[&within]));
    post(&reached, server.uri_of("many.test"), LONG).await.unwrap();
    let missed = local_client_with(Turns::new(&[&beyond]));
    let failure = failing(&missed, server.uri_of("many.test"), LONG).await;
    assert_eq!(failure.cause, Cause::Refused);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_target_is_never_contacted() {
    let target = Server::answering(ok_with(b"")).await;
    let location = target.uri();
    for status in ["301", "302", "303", "307", "308"] {
        let head = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::answering(head).await;
        let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
        assert_eq!(answer.status.as_str(), status);
        assert_eq!(answer.headers["location"], location.to_string());
    }
    assert_eq!(target.accepted(), 0);
}
