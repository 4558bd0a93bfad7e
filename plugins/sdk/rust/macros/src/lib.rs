//! `#[handler]`: makes a function the plugin's handler.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function the plugin's handler. It takes a `Request` and gives a `Result<Reply, Failure>`.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut words = item.clone().into_iter().skip_while(|token| token.to_string() != "fn").skip(1);
    let (true, Some(TokenTree::Ident(name))) = (attribute.is_empty(), words.next()) else {
        return refuse("#[handler] stands before `fn handle(request: Request) -> Result<Reply, Failure>`");
    };
    let export = format!("::banter_plugin::__export_handler!({name});");
    item.into_iter().chain(export.parse::<TokenStream>().unwrap_or_default()).collect()
}

fn refuse(message: &str) -> TokenStream {
    format!("::core::compile_error!({message:?});").parse().unwrap_or_default()
}
