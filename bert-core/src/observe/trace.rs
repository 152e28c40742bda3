//! Which default bodies of the [`Backend`](crate::Backend) trait ran: how a table can say what a backend
//! overrides without taking anybody's word for it.

use std::cell::RefCell;

thread_local! {
    static RAN: RefCell<Vec<&'static str>> = const { RefCell::new(vec![]) };
}

/// Every default body begins with its name.
pub(crate) fn default_body(operation: &'static str) {
    RAN.with_borrow_mut(|ran| {
        if !ran.contains(&operation) {
            ran.push(operation);
        }
    });
}

/// The operations whose default bodies ran on this thread since the last call.
///
/// ```
/// use bert_core::{Backend, observe::trace, reference::Reference, tensor::HostTensor};
/// trace::take();
/// let x = Reference.upload(&HostTensor::from_vec(vec![1.0f32, 2.0], [1, 2]))?;
/// Reference.softmax(&x)?;
/// assert_eq!(trace::take(), ["softmax"]);
/// # Ok::<(), bert_core::Error>(())
/// ```
pub fn take() -> Vec<&'static str> {
    RAN.take()
}
