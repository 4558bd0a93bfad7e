//! What a bot asks for above the server's ceiling is told at its line.

use banter_engine::{
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    handlers::{plugin::NoPlugins, script::Scripting},
    policy::{Ceiling, HttpPolicy, PluginRight},
};

use crate::support::GREET;

const BOT: &str = "\
name: test
languages: [en, ru]
fallback: { text: No. }
http:
  allow: [api.example.org, inner.example]
  private: true
plugins:
  tax:
    file: plugins/tax.wasm
    optional: true
    allow:
      kv: true
      clock: true
      http: [tax.example]
";

fn check(ceiling: &Ceiling, expected: &[(usize, &str)]) {
    let mut diagnostics = Diagnostics::default();
    let bundle = Bundle::of(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET)]);
    let loaded = loader::load(&bundle, &Scripting::new(), &NoPlugins, ceiling, &mut diagnostics);
    let rendered = diagnostics.render(false);
    assert_eq!(loaded.is_none(), !expected.is_empty(), "{rendered}");
    for (line, message) in expected {
        assert!(rendered.contains(message) && rendered.contains(&format!("bot.yaml:{line}:")), "{line}: {rendered}");
    }
    let errors = rendered.matches("error: this server").count();
    assert_eq!(errors, expected.len(), "{rendered}");
}

#[test]
fn what_is_above_the_ceiling_is_told_at_its_line() {
    check(&Ceiling::unlimited(), &[]);
    check(&Ceiling::default(), &[(6, "this server lets no bot fetch from private addresses")]);
    let low = Ceiling {
        allow: vec!["API.example.org".to_owned()],
        private: false,
        plugins: vec![PluginRight::Clock, PluginRight::Log],
    };
    check(
        &low,
        &[
            (5, "this server lets no bot fetch from `inner.example`"),
            (6, "this server lets no bot fetch from private addresses"),
            (12, "this server gives no plugin the right `kv`"),
            (14, "this server gives no plugin the right `http`"),
            (14, "this server lets no bot fetch from `tax.example`"),
        ],
    );
}

#[test]
fn a_policy_is_cut_to_the_ceiling() {
    let allow = ["api.example.org", "inner.example"].map(str::to_owned).to_vec();
    let policy = HttpPolicy { allow: allow.clone(), private: true, timeout_ms: 5, max_bytes: 6 };
    assert_eq!(Ceiling::unlimited().limit(&policy), policy);
    let ceiling = Ceiling { allow: vec!["inner.example".to_owned()], ..Ceiling::default() };
    let cut = ceiling.limit(&policy);
    assert_eq!((cut.allow, cut.private, cut.timeout_ms), (vec!["inner.example".to_owned()], false, 5));
}
