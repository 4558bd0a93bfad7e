//! A starter plugin. Test it with `cargo test`; compile it with `banter plugin build {{name}}`.

use banter_plugin::{Failure, Reply, Request, handler};

#[handler]
fn handle(request: Request) -> Result<Reply, Failure> {
    Ok(Reply::say(format!("You said: {}", request.text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_said() {
        assert_eq!(handle(Request::test("hello")).unwrap(), Reply::say("You said: hello"));
    }
}
