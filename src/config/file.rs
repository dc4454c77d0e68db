//! Finds and loads the configuration file.

use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostics;
use super::{Config, Source};

/// The file's name.
pub const FILE_NAME: &str = "instant.toml";

/// An error while loading the configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or is not UTF-8.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The file contains errors.
    #[error("{} cannot be used", file.path.display())]
    Invalid {
        /// The file and its text, for rendering the problems.
        file: Source,
        /// All its problems.
        diagnostics: Diagnostics,
    },
}

/// Loads the configuration at `path`, with its warnings. Variables come from the environment of the process.
///
/// # Errors
/// When the file cannot be read or contains errors.
pub fn load(path: &Path) -> Result<(Config, Diagnostics), LoadError> {
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let file = Source {
        path: path.to_owned(),
        text: text.into(),
    };
    match Config::parse(file.clone(), &|name| std::env::var(name).ok()) {
        (Some(config), diagnostics) => Ok((config, diagnostics)),
        (None, diagnostics) => Err(LoadError::Invalid { file, diagnostics }),
    }
}

/// Finds the nearest `instant.toml`, in the directory `from` or one above it.
#[must_use]
pub fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .map(|folder| folder.join(FILE_NAME))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_is_found_upwards() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find(&deep), None);
        std::fs::write(root.path().join(FILE_NAME), "").unwrap();
        assert_eq!(find(&deep), Some(root.path().join(FILE_NAME)));
        std::fs::write(root.path().join("a").join(FILE_NAME), "").unwrap();
        assert_eq!(find(&deep), Some(root.path().join("a").join(FILE_NAME)));
    }

    #[test]
    fn a_file_is_loaded_or_its_problems_are_returned() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE_NAME);
        assert!(matches!(load(&path), Err(LoadError::Read { .. })));
        std::fs::write(&path, "[database]\n").unwrap();
        let error = load(&path).unwrap_err();
        assert!(
            matches!(&error, LoadError::Invalid { diagnostics, .. } if diagnostics.items.len() == 2),
            "{error:?}"
        );
        std::fs::write(&path, "[database]\nurl = 'postgres://localhost/x'\n").unwrap();
        let (config, diagnostics) = load(&path).unwrap();
        assert_eq!((config.watches.len(), diagnostics.items.len()), (0, 1));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(load(&path), Err(LoadError::Read { .. })));
    }
}
