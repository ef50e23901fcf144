// crdt/guarded.hpp – names of clang's thread-safety analysis: a member names the lock that guards it, a function the
// lock that its caller holds. Other compilers see nothing.
#pragma once

#if defined(__clang__)
#define GEOLRU_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define GEOLRU_THREAD_SAFETY(attribute)
#endif

#define CAPABILITY(name) GEOLRU_THREAD_SAFETY(capability(name))
#define GUARDED_BY(lock) GEOLRU_THREAD_SAFETY(guarded_by(lock))
#define REQUIRES(lock) GEOLRU_THREAD_SAFETY(requires_capability(lock))
#define TRY_ACQUIRE(result) GEOLRU_THREAD_SAFETY(try_acquire_capability(result))
#define RELEASE() GEOLRU_THREAD_SAFETY(release_capability())
