// gossip/wire/kj_compat.hpp – what Cap'n Proto before 1.0 lacks for clang 16 and newer. Forced in by the build.
// In C++20 those take `const char* == kj::StringPtr` for the reversed member and find none that fits.
#pragma once

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* left, const StringPtr& right) { return right == StringPtr(left); }
inline bool operator!=(const char* left, const StringPtr& right) { return !(right == StringPtr(left)); }
}  // namespace kj
