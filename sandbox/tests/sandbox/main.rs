//! Plugins in the sandbox: what they can do, what they cannot, and what happens if they try.

mod contract;
mod hostile;
mod kept;
mod support;
mod suspended;
