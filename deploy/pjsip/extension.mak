# pjproject's libraries, and the Python extension module with them, in a configured tree of
# pjproject's; started there by `build`:
#   make -j2 -f extension.mak SUFFIX=.cpython-311-x86_64-linux-gnu.so \
#       INCLUDE=/usr/include/python3.11 FLAGS="-O3 -fPIC" STRIP="strip --strip-unneeded"
# leaves out/pjsua2.py and out/_pjsua2$(SUFFIX).

here := $(dir $(lastword $(MAKEFILE_LIST)))

include build.mak

module := out/_pjsua2$(SUFFIX)
wrapper := out/pjsua2_wrap
resampler := out/resample.o
swig := pjsip-apps/src/swig

# pjproject's libraries are named after the target, the system's are not.
system_libs := $(filter-out %-$(TARGET_NAME),$(PJ_LDXXLIBS))

all: $(module)

# Whole archives: what the bridge calls by ctypes (memory ports, conference, admission) is used by
# nothing in pjsua2, so that a plain static link would drop it.
$(module): $(wrapper).o $(resampler) libraries
	$(CXX) $(FLAGS) -shared -Wl,-Bsymbolic-functions -o $@ $(wrapper).o $(resampler) $(filter -L%,$(PJ_LDXXFLAGS)) -Wl,--whole-archive $(PJ_LIBXX_FILES) \
		-Wl,--no-whole-archive $(system_libs)
	$(STRIP) $@

# Beside the wrapper, which takes as long and has no use for a second core.
libraries:
	$(MAKE) -f Makefile lib

# Every call's audio passes it, where the conference runs at 16 kHz.
$(resampler): $(here)resample.c
	mkdir -p out
	$(CC) -c -o $@ $< $(PJ_CFLAGS) $(FLAGS)

# At -O1: nothing hot runs in the wrapper, and -O3 takes three times as long.
$(wrapper).o: $(wrapper).cpp
	$(CXX) -c -o $@ $< $(PJ_CXXFLAGS) -O1 -w -I$(INCLUDE)

# The flags of pjproject's own makefile for Python.
$(wrapper).cpp: $(swig)/pjsua2.i
	mkdir -p out
	swig $(addprefix -I,$(filter %/include,$(subst -I,,$(PJ_CXXFLAGS)))) -c++ -w312 -threads \
		-doxygen -python -o $@ $<

.PHONY: all libraries
.DELETE_ON_ERROR:
