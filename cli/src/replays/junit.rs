//! JUnit XML: one suite per file, one case per fixture.

use std::{collections::BTreeMap, time::Duration};

use banter_engine::diagnostic::{DiagnosticReport, Severity};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{
    PlayedFixture,
    report::{FixtureReport, FixtureVerdict, Report},
    show::{self, Paint},
};
use crate::failure::Failure;

/// The report as XML, with the times of this run.
///
/// # Errors
/// The report cannot be written as XML.
pub fn xml(report: &Report, ran: &[PlayedFixture]) -> Result<String, Failure> {
    let mut junit = quick_junit::Report::new("banter replay");
    let mut suite: Option<TestSuite> = None;
    for (fixture, one) in report.fixtures.iter().zip(ran) {
        if suite.as_ref().is_none_or(|suite| suite.name.as_str() != fixture.file) {
            junit.add_test_suites(suite.take());
            suite = Some(TestSuite::new(&fixture.file));
        }
        if let Some(suite) = &mut suite {
            let mut case = TestCase::new(&fixture.name, status(fixture));
            case.set_classname(&fixture.file).set_time(one.took);
            suite.add_test_case(case);
        }
    }
    junit.add_test_suites(suite);
    text(&junit, report.skipped)
}

/// The errors of broken files as XML: one suite per file, one case per diagnostic.
///
/// # Errors
/// The report cannot be written as XML.
pub fn diagnostics(diagnostics: &[DiagnosticReport]) -> Result<String, Failure> {
    let mut junit = quick_junit::Report::new("banter replay");
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(&diagnostic.message).set_type("diagnostic");
        status.set_description(format!(
            "{}\nhint: {}",
            diagnostic.message,
            diagnostic.hint.as_deref().unwrap_or_default()
        ));
        let mut case = TestCase::new(format!("line {}, column {}", diagnostic.line, diagnostic.column), status);
        case.set_classname(&diagnostic.file).set_time(Duration::ZERO);
        suites.entry(&diagnostic.file).or_insert_with(|| TestSuite::new(&diagnostic.file)).add_test_case(case);
    }
    junit.add_test_suites(suites.into_values());
    text(&junit, 0)
}

/// Removes the first `skipped` attribute, the total of all suites, which the Jenkins schema does not allow.
fn text(junit: &quick_junit::Report, skipped: usize) -> Result<String, Failure> {
    let all = format!(" skipped=\"{skipped}\"");
    let written = junit.to_string().map(|xml| xml.replacen(&all, "", 1));
    written.map_err(|error| Failure::usage(format!("cannot write the report: {error}"), "please report this bug"))
}

fn status(fixture: &FixtureReport) -> TestCaseStatus {
    match fixture.verdict {
        FixtureVerdict::Passed => return TestCaseStatus::success(),
        FixtureVerdict::Skipped => return TestCaseStatus::skipped(),
        FixtureVerdict::Failed => {}
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let differing = fixture.turns.iter().find_map(|turn| Some((turn, turn.differences.first()?)));
    if let Some((turn, first)) = differing {
        status.set_message(format!("after \"{}\", {} is {}", turn.user, first.field, first.actual));
    }
    status.set_type("difference").set_description(show::failures(Paint(false), fixture));
    status
}
