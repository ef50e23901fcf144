// tests/lib/plugin.hpp – what a library that uses the cache, and that a process loads and unloads, offers to the tests.
#pragma once

namespace geolru::test {

/// Uses two caches, linked over the loopback, from the calling thread and from two others. True if all went well.
using UseCaches = bool (*)();
/// The same on the calling thread alone, with a local cache.
using UseHere = bool (*)();
/// Begins to look up a name that is not there, and closes the cache without waiting for it.
using LookUp = void (*)();

}  // namespace geolru::test
