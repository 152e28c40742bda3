//! Explanations, on small checkpoints: that they are what they claim to be.

mod attention;
mod senses;
mod words;

use std::path::Path;

use bert_tasks::Device;

/// A checkpoint of the workspace, and a device.
fn checkpoint(name: &str) -> (String, Device) {
    let folder = bert_conformance::checkpoint(name);
    (folder.to_str().unwrap().to_owned(), Device::cpu().unwrap())
}

/// Runs the script of a page, if there is a Node.js to run it. What a browser would draw on is counted and not drawn.
fn run_page(html: &str) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, html).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/explain/run_page.js");
    match std::process::Command::new("node").arg(script).arg(&page).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => eprintln!("SKIPPED: there is no node to run the page with"),
    }
}

/// No text of a page may be read as anything else.
fn assert_safe(html: &str) {
    assert!(!html.contains("<b>"), "a text became a tag");
    for forbidden in ["src=", "href=", "http:", "https:", "import "] {
        let allowed = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!allowed.contains(forbidden), "the page refers to something: {forbidden}");
    }
    let opened = html.matches("<script").count();
    assert_eq!(opened, html.matches("</script>").count());
    assert!(html.contains("default-src 'none'"));
}
