//! The test modules, shared by both sets of stores.

mod admin;
mod auth;
mod console;
pub mod contract;
mod dialogues;
mod errors;
mod google;
mod hand_offs;
mod languages;
mod limits;
mod live;
mod messages;
mod pages;
mod permissions;
mod service;
mod session;
pub mod support;
mod visitors;
mod webhooks;
