# The two integer types of the native core, spelled once.
from libc.stdint cimport int64_t, uint32_t

ctypedef int64_t count_t      # how often something occurs; 32 bits overflow on real corpora
ctypedef uint32_t token_id_t  # a token's id
