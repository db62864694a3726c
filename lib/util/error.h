/* The error codes of the whole library, and their names. Defined in the public header. */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include "plasm.h"

#endif
