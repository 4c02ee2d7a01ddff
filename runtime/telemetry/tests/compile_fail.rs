//! A metric recorded with a wrong set of labels does not compile.
#![allow(missing_docs)]

#[test]
fn wrong_label_sets_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_fail/right_labels.rs");
    cases.compile_fail("tests/compile_fail/wrong_*.rs");
}
