//! The HTTP API as its callers see it: the hub's router on the real engine, in one process.

mod access;
mod deliveries;
mod document;
mod events;
mod integrations;
mod jobs;
mod notice;
mod people;
mod retention;
mod support;
mod why;
