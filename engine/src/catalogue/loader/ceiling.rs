//! Finds what a bot asks for above the server's ceiling.

use super::{BotFile, Document, Loader};
use crate::{
    catalogue::{document::child, wire::AllowFile},
    diagnostic::Diagnostic,
    policy::{Ceiling, PluginRight},
};

impl Loader<'_> {
    pub(super) fn check_ceiling(&mut self, bot: &BotFile, document: &Document, ceiling: &Ceiling) {
        self.check_hosts(&bot.http.allow, bot.http.private, "/http", "/allow", document, ceiling);
        for (name, plugin) in &bot.plugins {
            let pointer = format!("{}/allow", child("/plugins", name));
            for right in PluginRight::ALL {
                if asks(&plugin.allow, right) && !ceiling.plugins.contains(&right) {
                    let message = format!("this server gives no plugin the right `{}`", right.name());
                    let hint = "an administrator can add it to outside.plugins in Rocket.toml";
                    let location = document.location(&format!("{pointer}/{}", right.name()));
                    self.diagnostics.push(Diagnostic::error(location, message).hint(hint));
                }
            }
            self.check_hosts(&plugin.allow.http, plugin.allow.private, &pointer, "/http", document, ceiling);
        }
    }

    /// Checks a list of hosts, which is at `list` below `pointer`.
    fn check_hosts(
        &mut self,
        hosts: &[String],
        private: bool,
        pointer: &str,
        list: &str,
        document: &Document,
        ceiling: &Ceiling,
    ) {
        for (index, host) in hosts.iter().enumerate().filter(|(_, host)| !ceiling.allows(host)) {
            let location = document.location(&format!("{pointer}{list}/{index}"));
            let diagnostic = Diagnostic::error(location, format!("this server lets no bot fetch from `{host}`"));
            self.diagnostics.push(diagnostic.hint("an administrator can add it to outside.allow in Rocket.toml"));
        }
        if private && !ceiling.private {
            let location = document.location(&format!("{pointer}/private"));
            let diagnostic = Diagnostic::error(location, "this server lets no bot fetch from private addresses");
            self.diagnostics.push(diagnostic.hint("an administrator can set outside.private in Rocket.toml"));
        }
    }
}

fn asks(allow: &AllowFile, right: PluginRight) -> bool {
    match right {
        PluginRight::Log => allow.log,
        PluginRight::Kv => allow.kv,
        PluginRight::Clock => allow.clock,
        PluginRight::Random => allow.random,
        PluginRight::Http => !allow.http.is_empty(),
    }
}
