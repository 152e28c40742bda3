//! Every operation and small models, on hard inputs, against plain loops in `f64`.

use bert_backend_template::TemplateBackend;

#[test]
fn every_operation_is_right() {
    bert_conformance::assert_conforms("template", &TemplateBackend);
}
