//! The test modules, shared by both sets of stores.

mod admin;
mod auth;
pub mod contract;
mod dialogues;
mod errors;
mod google;
mod hand_offs;
mod languages;
mod messages;
mod permissions;
mod service;
mod session;
pub mod support;
mod webhooks;
