"""Death in a thread that is not Python's, by the C library's own hand, as PJSIP's would bring it.

The text of a process that is to die: it is run, or put into a file of tests, never imported here.
"""

DIE_IN_A_NATIVE_THREAD = """
import ctypes, time

def die_in_a_native_thread():
    libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
    not_from_malloc = ctypes.create_string_buffer(4096)
    address = ctypes.c_void_p(ctypes.addressof(not_from_malloc) + 64)
    free = ctypes.cast(libc.free, ctypes.c_void_p)
    libc.pthread_create(ctypes.byref(thread), None, free, address)
    time.sleep(30)
"""

LAST_WORDS = "free(): invalid"
"""What the C library says of that, before it aborts (glibc, malloc/malloc.c)."""

DIE_IN_PJSIP = """
import ctypes, time

def die_in_a_native_thread():
    import pjsua2._pjsua2 as extension
    thread, pjlib = ctypes.c_ulong(), ctypes.CDLL(extension.__file__)
    pj_thread_this = ctypes.cast(pjlib.pj_thread_this, ctypes.c_void_p)
    ctypes.CDLL(None).pthread_create(ctypes.byref(thread), None, pj_thread_this, None)
    time.sleep(30)
"""

PJSIPS_LAST_WORDS = "Calling pjlib from unknown/external thread"
"""What an assertion of PJSIP's says of that (pjlib/src/pj/os_core_unix.c): the pip wheel has them,
the capacity build has none."""
