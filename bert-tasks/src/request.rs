//! An input with options of its own.

/// An input of a task, and options that replace those of the task for this input only.
///
/// Every plain input converts into a request without options.
///
/// ```
/// use bert_tasks::fill_mask::FillMaskOptions;
/// use bert_tasks::{Device, FillMask, Request, Task};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let fill_mask = FillMask::load(model, &Device::auto()?)?;
/// let options = FillMaskOptions { top_k: 1, ..FillMaskOptions::default() };
/// let requests = [
///     Request::from("The capital of France is [MASK]."),
///     Request::from("The capital of Italy is [MASK].").with_options(options),
/// ];
/// for answer in fill_mask.stream(requests) {
///     println!("{}", answer?.masks[0].candidates.len()); // 5, then 1
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<I, O> {
    /// What is asked.
    pub input: I,
    /// The options; those of the task if not given.
    pub options: Option<O>,
}

impl<I, O> Request<I, O> {
    /// The same input with these options. Options that make no sense give an error instead of the answer.
    #[must_use]
    pub fn with_options(self, options: O) -> Self {
        Self { options: Some(options), ..self }
    }
}

impl<I, O> From<I> for Request<I, O> {
    fn from(input: I) -> Self {
        Self { input, options: None }
    }
}

impl<O> From<&str> for Request<String, O> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
