// gossip/wire/schema.cpp – compiles the generated code as what it is, a system's: without our warnings.
#include <message.capnp.c++>
