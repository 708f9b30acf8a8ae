//! Where the symbolic links of a tree lead: nowhere outside of it, however they are followed. A link to something that
//! is not there is fine, as long as it would be inside.

use std::collections::VecDeque;

use super::tree::{Folder, Node, TreeError};

/// How many links are followed for one.
const HOPS_MAX: usize = 40;

/// Checks all links below a root.
pub(super) fn check(root: &Folder) -> Result<(), TreeError> {
    check_folder(root, root, &mut Vec::new())
}

fn check_folder(root: &Folder, folder: &Folder, path: &mut Vec<String>) -> Result<(), TreeError> {
    for (name, node) in folder {
        match node {
            Node::Folder(inner) => {
                path.push(name.clone());
                check_folder(root, inner, path)?;
                path.pop();
            }
            Node::Symlink(target) if !stays_inside(root, path, target) => {
                let place = path.iter().chain([name]).map(String::as_str).collect::<Vec<_>>().join("/");
                return Err(TreeError(format!("the symbolic link {place:?} leads out of the tree, to {target:?}")));
            }
            Node::Symlink(_) | Node::File { .. } => {}
        }
    }
    Ok(())
}

/// Walks a target as a file system would, from the folder the link is in.
fn stays_inside(root: &Folder, from: &[String], target: &str) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut at: Vec<String> = from.to_vec();
    let mut to_go: VecDeque<String> = target.split('/').map(ToOwned::to_owned).collect();
    let mut hops = 0;
    while let Some(part) = to_go.pop_front() {
        match part.as_str() {
            "" | "." => {}
            ".." => {
                if at.pop().is_none() {
                    return false;
                }
            }
            name => match node(root, &at, name) {
                Some(Node::Symlink(next)) => {
                    hops += 1;
                    if hops > HOPS_MAX {
                        // A file system gives up here as well; it leads nowhere.
                        return true;
                    }
                    if next.starts_with('/') {
                        return false;
                    }
                    for part in next.rsplit('/') {
                        to_go.push_front(part.to_owned());
                    }
                }
                _ => at.push(name.to_owned()),
            },
        }
    }
    true
}

fn node<'a>(root: &'a Folder, at: &[String], name: &str) -> Option<&'a Node> {
    let mut folder = root;
    for part in at {
        match folder.get(part)? {
            Node::Folder(inner) => folder = inner,
            _ => return None,
        }
    }
    folder.get(name)
}
