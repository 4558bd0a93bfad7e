//! Handlers make replies. A handler returns [`Effect`]s; only the dialogue applies them.

pub mod api;
pub mod call;
pub mod context;
pub mod effect;
pub mod plugin;
pub mod script;
pub mod source;

pub use context::Context;
pub use effect::Effect;
