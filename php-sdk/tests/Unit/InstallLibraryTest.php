<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\Tests\Support\Command;
use PhaseBased\Plasm\Tests\Support\Directory;
use PHPUnit\Framework\TestCase;

/**
 * What Composer's post-install script does: with a compiler, without, and where there is nothing to do.
 */
final class InstallLibraryTest extends TestCase
{
    private const SDK = __DIR__ . '/../..';
    /** Notes its arguments, and "builds" a library when it is asked to. */
    private const CMAKE = <<<'SH'
        #!/bin/sh
        PATH=/usr/bin:/bin
        echo "$@" >>"$CMAKE_LOG"
        [ "$1" = --build ] || exit "$CMAKE_CONFIGURE"
        mkdir -p "$2/lib"
        touch "$2/lib/libplasm.so"
        SH;

    private Directory $directory;
    private string $sdk;

    protected function setUp(): void
    {
        $this->directory = new Directory();
        $this->sdk = "{$this->directory->path}/checkout/php-sdk";
        Directory::copy(self::SDK, $this->sdk, ['vendor', 'build', 'tests', 'composer.lock']);
        $this->directory->write('bin/cmake', self::CMAKE, 0700);
        $this->directory->write('bin/cc', "#!/bin/sh\n", 0700);
        $this->directory->write('checkout/CMakeLists.txt');
        $this->directory->write('checkout/lib/include/plasm.h');
        if (is_file('/usr/lib/libplasm.so.0') || glob('/usr/lib/*/libplasm.so*') !== []) {
            self::markTestSkipped('libplasm is installed on this system');
        }
    }

    public function testBuildsTheClientWithoutTheDaemon(): void
    {
        $install = $this->install();
        self::assertSame(0, $install->exitCode);
        $root = "{$this->directory->path}/checkout";
        $lines = file("{$this->directory->path}/log", FILE_IGNORE_NEW_LINES);
        self::assertCount(2, $lines);
        self::assertStringStartsWith("-S $root -B {$this->sdk}/build ", $lines[0]);
        self::assertStringContainsString('-DPLASM_DAEMON=OFF', $lines[0]);
        self::assertStringStartsWith("--build {$this->sdk}/build", $lines[1]);
        self::assertStringEndsWith("libplasm is {$this->sdk}/build/lib/libplasm.so\n", $install->errors);
        // The second time there is nothing to do.
        self::assertSame("plasm: libplasm is {$this->sdk}/build/lib/libplasm.so\n", $this->install()->errors);
        self::assertCount(2, file("{$this->directory->path}/log"));
    }

    public function testSaysWhatIsMissing(): void
    {
        $install = $this->install(configure: '1');
        self::assertSame(0, $install->exitCode, 'Composer must not fail for it');
        self::assertStringContainsString('libraries that it needs are missing', $install->errors);
        self::assertStringContainsString('To reach the network: cd ', $install->errors);
    }

    public function testNeedsACompiler(): void
    {
        unlink("{$this->directory->path}/bin/cc");
        $install = $this->install();
        self::assertSame(0, $install->exitCode);
        self::assertStringContainsString('cmake and a C compiler are needed', $install->errors);
    }

    public function testNeedsACheckout(): void
    {
        unlink("{$this->directory->path}/checkout/CMakeLists.txt");
        $install = $this->install();
        self::assertSame(0, $install->exitCode);
        self::assertStringContainsString('not part of a checkout', $install->errors);
        self::assertStringContainsString('git clone', $install->errors);
    }

    public function testUsesTheLibraryThatIsThere(): void
    {
        $built = $this->directory->write('checkout/build/lib/libplasm.so');
        self::assertSame("plasm: libplasm is $built\n", $this->install()->errors);
        self::assertFileDoesNotExist("{$this->directory->path}/log");
    }

    private function install(string $configure = '0'): Command
    {
        return Command::run([PHP_BINARY, "{$this->sdk}/bin/plasm-install-library"], '/', [
            'PATH' => "{$this->directory->path}/bin",
            'CMAKE_LOG' => "{$this->directory->path}/log",
            'CMAKE_CONFIGURE' => $configure,
        ]);
    }
}
