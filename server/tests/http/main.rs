//! The HTTP contract, one file a resource; errors of all of them in one table.

mod auth;
mod errors;
mod messages;
mod service;
mod session;
mod support;
mod webhooks;
