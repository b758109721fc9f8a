//! The folder store's lists: names in byte order, one page at a time.

use std::fs::File;

use recording::ObjectName;
use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

use super::folder_io::{Fault, FolderIo, UNFINISHED, fault, names_in, open_folder};
use super::{ListedObject, ListedPage};

/// How deep folders are walked; an object's name has at most 1,023 bytes, so at most 512 components.
const DEEPEST: usize = 600;

impl FolderIo {
    /// At most `most` objects of the bucket at `path` whose names begin with `prefix` and come after `after`, in byte
    /// order.
    pub(super) fn list_page(
        &self,
        path: &[&str],
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<ListedPage, Fault> {
        // Only the folder of the prefix needs to be walked.
        let inside = prefix.rsplit_once('/').map(|(folders, _)| folders);
        let folders: Vec<&str> = inside.into_iter().flat_map(|inside| inside.split('/')).collect();
        if folders.iter().any(|name| matches!(*name, "" | "." | ".." | UNFINISHED) || name.contains('\0')) {
            return Ok(ListedPage::default());
        }
        let folder = match self.open_folders(&[path, &folders].concat()) {
            Ok(folder) => folder,
            Err(Fault::NotFound | Fault::Unusable { .. }) => return Ok(ListedPage::default()),
            Err(fault) => return Err(fault),
        };
        let mut walk = Walk { prefix, after, most, page: ListedPage::default() };
        let above = inside.map_or_else(String::new, |inside| format!("{inside}/"));
        walk.folder(&folder, &above, 0)?;
        Ok(walk.page)
    }
}

/// A walk that ends when the page is full.
struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    most: usize,
    page: ListedPage,
}

impl Walk<'_> {
    /// Lists every object below a folder; `above` is the folder's own name with a slash, or nothing.
    fn folder(&mut self, folder: &File, above: &str, depth: usize) -> Result<(), Fault> {
        let mut entries = Vec::new();
        for name in names_in(folder)? {
            if name == UNFINISHED {
                continue;
            }
            let path = format!("{above}{name}");
            if self.was_told(&path) {
                continue;
            }
            let stat = match statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // It was removed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(fault("list")(errno)),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => entries.push((path, Some(stat.st_size), name)),
                // With the slash that is part of the names of everything below it: `a-1` comes before `a/1`.
                FileType::Directory => entries.push((format!("{path}/"), None, name)),
                _ => {}
            }
        }
        entries.sort();
        for (path, size, name) in entries {
            if self.page.next.is_some() {
                return Ok(());
            }
            match size {
                Some(size) => self.object(path, u64::try_from(size).unwrap_or(0)),
                None if self.is_over_with(&path) || depth == DEEPEST => {}
                None => match open_folder(folder, &name) {
                    Ok(inner) => self.folder(&inner, &path, depth + 1)?,
                    // It was removed, or is something else by now.
                    Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                    Err(errno) => return Err(fault("list")(errno)),
                },
            }
        }
        Ok(())
    }

    fn object(&mut self, path: String, length: u64) {
        if !path.starts_with(self.prefix) || self.after.is_some_and(|after| path.as_str() <= after) {
            return;
        }
        // Anybody may put a file here whose name is not valid for an object.
        let Ok(name) = ObjectName::parse(&path) else { return };
        if self.page.objects.len() < self.most {
            self.page.objects.push(ListedObject { name, length });
        } else {
            self.page.next = self.page.objects.last().map(|last| last.name.to_string());
        }
    }

    /// Whether an earlier page had this name, and all names below it if it is a folder's: then it need not be listed
    /// again.
    fn was_told(&self, path: &str) -> bool {
        self.after.is_some_and(|after| match after.strip_prefix(path) {
            None => path < after,
            // `/` sorts after `-` and `.`: `a-1` was listed before `a/1`.
            Some(rest) => rest.chars().next().is_some_and(|next| next > '/'),
        })
    }

    /// Whether nothing below this folder, whose path ends with a slash, belongs to the page.
    fn is_over_with(&self, path: &str) -> bool {
        let outside = !path.starts_with(self.prefix) && !self.prefix.starts_with(path);
        outside || self.after.is_some_and(|after| path < after && !after.starts_with(path))
    }
}
