# aft_client: the client's own code, static, for the demo and the tests. libaftertouch.so: the same with policy, wire and base in
# it, hidden symbols, needing only libc, librdkafka and libsodium.
file(GLOB client_sources CONFIGURE_DEPENDS client/*.c)
add_library(aft_client STATIC ${client_sources})
target_link_libraries(aft_client PRIVATE aft_flags PUBLIC aft_policy PkgConfig::RDKAFKA Threads::Threads)
add_library(aftertouch_client SHARED $<TARGET_OBJECTS:aft_client> $<TARGET_OBJECTS:aft_policy> $<TARGET_OBJECTS:aft_wire>
                                     $<TARGET_OBJECTS:aft_base>)
target_link_libraries(aftertouch_client PRIVATE PkgConfig::RDKAFKA PkgConfig::SODIUM Threads::Threads)
target_link_options(aftertouch_client PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,ALL)
set_target_properties(aftertouch_client PROPERTIES OUTPUT_NAME aftertouch VERSION ${PROJECT_VERSION} SOVERSION 0)
