//! The action cache, trees and chunks on a room in memory.
