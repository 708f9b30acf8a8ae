/* Wine 8 has no bcryptprimitives.dll, from which Rust's standard library takes its random numbers. This stands in
 * for it in tests only: the same function over the older one that Wine has (RtlGenRandom). */

#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    return SystemFunction036(buffer, (ULONG)length);
}
