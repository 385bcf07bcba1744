//! Black-box tests: the real binary, its API, and receivers that behave well or badly. One binary, so that it links once.

mod access;
mod bounds;
mod circuit;
mod clients;
mod command_line;
mod companies;
mod delivery_form;
mod edits;
mod explain;
mod guard;
mod idempotency;
mod ingest;
mod ingest_limits;
mod isolation;
mod lifecycle;
mod listen;
mod look;
mod openapi;
mod order;
mod rejected;
mod retries;
mod secrets;
mod selection;
mod signing;
mod sites;
mod support;
