//! A compiled script, and what can be learned from it without running it.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, Stmt};

use crate::{diagnostic::Location, handlers::source::Reference};

/// A compiled script file.
#[derive(Debug)]
pub struct Script {
    pub(super) path: String,
    pub(super) ast: AST,
    /// Functions with one parameter, and the first line of each.
    pub(super) handlers: BTreeMap<String, usize>,
    pub(super) references: Vec<(Reference, Location)>,
}

impl Script {
    /// Path inside the bot's folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Lines with executable statements, counted from 1.
    pub fn lines(&self) -> BTreeSet<usize> {
        let mut lines = BTreeSet::new();
        self.ast.walk(&mut |path| {
            if let Some(ASTNode::Stmt(statement)) = path.last()
                && !matches!(statement, Stmt::Noop(..) | Stmt::Block(..))
            {
                lines.extend(statement.position().line());
            }
            true
        });
        lines
    }

    /// Text literals in the script, which include names of slots, contexts and stored values.
    pub fn literals(&self) -> BTreeSet<String> {
        let mut literals = BTreeSet::new();
        self.ast.walk(&mut |path| {
            if let Some(ASTNode::Expr(Expr::StringConstant(text, _))) = path.last() {
                literals.insert(text.to_string());
            }
            true
        });
        literals
    }

    /// Whether there is a function of this name with one parameter.
    pub fn has_handler(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }

    /// Names of all functions with one parameter.
    pub fn handlers(&self) -> impl Iterator<Item = &str> + Clone {
        self.handlers.keys().map(String::as_str)
    }

    /// Names of texts, intents, slots and plugins in literals, with their locations.
    pub fn references(&self) -> &[(Reference, Location)] {
        &self.references
    }
}
