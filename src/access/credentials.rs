//! What a request brings to be known by.

/// The cookies, and the header that `[django] whoami` alone looks at. Either may be anything.
#[derive(Clone, Debug, Default)]
pub struct Credentials<'a> {
    /// The `Cookie` headers; of one that is not UTF-8, the cookies that are.
    pub cookies: Vec<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
}

/// What of them says who somebody is, for whoever keeps it while a connection lasts.
#[derive(Debug)]
pub struct Kept {
    /// As one `Cookie` header.
    pub(super) cookies: Option<String>,
    pub(super) authorization: Option<String>,
}

impl Kept {
    /// The same as they came.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            cookies: self.cookies.as_deref().into_iter().collect(),
            authorization: self.authorization.as_deref(),
        }
    }
}
