// The system's libzmq is not built for the thread sanitizer, which therefore cannot see that its
// queues hand memory from one thread to another, and without this line reports frames that ZeroMQ
// frees after sending and bytes that it received. called_from_lib would be narrower, but is not
// enough. Races between our own frames are still reported.

#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_suppressions() { return "race:libzmq.so\n"; }
#endif
