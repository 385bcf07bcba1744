//! The connector against real sockets on loopback.

mod answers;
mod causes;
mod connections;
mod guard;
mod networks;
mod support;
mod tls;
mod urls;
