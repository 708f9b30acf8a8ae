#include <iostream>

#include "lib/greeting.h"

int main() { std::cout << greeting("cache") << std::endl; }
