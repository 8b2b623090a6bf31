# aft_client: the client's own code, static, for the demo and the tests. libaftertouch.so: the same with policy, wire and base in
# it, hidden symbols, needing only libc, librdkafka and libsodium. Installed: library, one header, pkg-config, CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
file(GLOB client_sources CONFIGURE_DEPENDS client/*.c)
add_library(aft_client STATIC ${client_sources})
target_link_libraries(aft_client PRIVATE aft_flags PUBLIC aft_policy PkgConfig::RDKAFKA Threads::Threads)

set(client_map ${CMAKE_SOURCE_DIR}/client/client.map)
add_library(aftertouch_client SHARED $<TARGET_OBJECTS:aft_client> $<TARGET_OBJECTS:aft_policy> $<TARGET_OBJECTS:aft_wire>
                                     $<TARGET_OBJECTS:aft_base>)
target_include_directories(aftertouch_client INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                                                       $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/client>)
target_link_libraries(aftertouch_client PRIVATE PkgConfig::RDKAFKA PkgConfig::SODIUM Threads::Threads m)
target_link_options(aftertouch_client PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${client_map})
if(NOT AFT_SANITIZE_ADDRESS AND NOT AFT_SANITIZE_THREAD)
    target_link_options(aftertouch_client PRIVATE -Wl,--no-undefined)
else()
    target_link_options(aftertouch_client PRIVATE $<$<BOOL:${AFT_SANITIZE_ADDRESS}>:-fsanitize=address,undefined>
                                                  $<$<BOOL:${AFT_SANITIZE_THREAD}>:-fsanitize=thread>)
endif()
set_target_properties(aftertouch_client PROPERTIES OUTPUT_NAME aftertouch EXPORT_NAME client VERSION ${PROJECT_VERSION} SOVERSION 0
                      LINK_DEPENDS ${client_map} PUBLIC_HEADER ${CMAKE_SOURCE_DIR}/client/aftertouch.h)

file(RELATIVE_PATH client_pc_prefix /x/${CMAKE_INSTALL_LIBDIR}/pkgconfig /x)
configure_file(client/aftertouch.pc.in ${CMAKE_BINARY_DIR}/aftertouch.pc @ONLY)
set(client_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/aftertouch)
configure_package_config_file(client/aftertouchConfig.cmake.in ${CMAKE_BINARY_DIR}/aftertouchConfig.cmake
                              INSTALL_DESTINATION ${client_cmake_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/aftertouchConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(TARGETS aftertouch_client EXPORT aftertouchTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client
        PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT client)
install(EXPORT aftertouchTargets NAMESPACE aftertouch:: DESTINATION ${client_cmake_dir} COMPONENT client)
install(FILES ${CMAKE_BINARY_DIR}/aftertouchConfig.cmake ${CMAKE_BINARY_DIR}/aftertouchConfigVersion.cmake
        DESTINATION ${client_cmake_dir} COMPONENT client)
install(FILES ${CMAKE_BINARY_DIR}/aftertouch.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)

add_subdirectory(client/examples)

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
    add_test(NAME client_abi COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/checks/abi.py $<TARGET_FILE:aftertouch_client>
                                     ${CMAKE_SOURCE_DIR}/client/aftertouch.h ${CMAKE_BINARY_DIR})
endif()
