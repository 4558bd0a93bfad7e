//! A plugin that says what it sees of the conversation.

wit_bindgen::generate!({ path: "../contract/plugin-1.1.0.wit", world: "plugin" });

use banter::plugin::{
    dialogue,
    types::{Effect, Say},
};

struct Viewer;

impl Guest for Viewer {
    fn handle(_: Request) -> Result<Reply, Failure> {
        let say = Say { text: dialogue::view(), suggestions: Vec::new() };
        Ok(Reply { effects: vec![Effect::Say(say)], value: None })
    }
}

export!(Viewer);
