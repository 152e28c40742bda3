//! What can be wrong with a request.

/// A request, or the options of a task, that cannot be used. Names of fields are those of the request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A text that is not JSON.
    #[error("the request is not valid JSON")]
    Json(#[from] serde_json::Error),

    /// A word that names no task.
    #[error("unknown task {found:?}; the known ones are {}", known.join(", "))]
    UnknownTask {
        /// The word, or its beginning.
        found: String,
        /// The known tasks.
        known: Vec<&'static str>,
    },

    /// JSON that is no object.
    #[error("{task} takes an object with the fields {}; found {found}", known.join(", "))]
    NotAnObject {
        /// The task.
        task: &'static str,
        /// The fields that it knows.
        known: Vec<&'static str>,
        /// What is there, such as `an array`.
        found: &'static str,
    },

    /// A field that the task does not know.
    #[error("{task} has no field {found:?}; its fields are {}", known.join(", "))]
    UnknownField {
        /// The task.
        task: &'static str,
        /// The field, or the beginning of its name.
        found: String,
        /// The fields that it knows.
        known: Vec<&'static str>,
    },

    /// A field that has to be there, and is not or is null.
    #[error("{task} needs the field {field:?}, {expected}")]
    MissingField {
        /// The task.
        task: &'static str,
        /// The field.
        field: &'static str,
        /// What it holds, such as `a string`.
        expected: &'static str,
    },

    /// A field with another kind of value than it takes.
    #[error("the field {field:?} of {task} takes {expected}; found {found}")]
    WrongValue {
        /// The task.
        task: &'static str,
        /// The field.
        field: &'static str,
        /// What it takes, such as `a string`.
        expected: &'static str,
        /// What is there: the kind of value, or the value itself if it is short.
        found: String,
    },
}
