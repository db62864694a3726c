<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * The deadline passed.
 */
final class TimeoutException extends PlasmException
{
}
